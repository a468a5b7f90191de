import { lookup } from 'node:dns/promises'
import { BlockList, isIP } from 'node:net'

/** Link-local addresses, where clouds hand out credentials, and the two metadata services that live elsewhere. */
const REFUSED = new BlockList()
REFUSED.addSubnet('169.254.0.0', 16, 'ipv4')
REFUSED.addSubnet('fe80::', 10, 'ipv6')
REFUSED.addAddress('fd00:ec2::254', 'ipv6')
REFUSED.addAddress('100.100.100.200', 'ipv4')

/** Whether an address, IPv4 inside of IPv6 too, is one that nothing of ours lives at. */
export function isRefused(address: string): boolean {
  const family = isIP(address)
  return family !== 0 && REFUSED.check(address, family === 6 ? 'ipv6' : 'ipv4')
}

/** Whether a URL's host is such an address or a name of one. Throws what the resolver throws. */
export async function leadsAstray(hostname: string): Promise<boolean> {
  const host = hostname.replace(/^\[|\]$/g, '')
  if (isIP(host)) return isRefused(host)
  const addresses = await lookup(host, { all: true })
  return addresses.some(({ address }) => isRefused(address))
}

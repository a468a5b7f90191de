import { createHash } from 'node:crypto'

export const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

/** The checksum of a migration whose tool tells neither a checksum nor SQL: all that is known of its file is the image that it is in. */
export const standIn = (version: string, image: string | undefined): string =>
  sha256(image === undefined ? version : `${version} ${image}`)

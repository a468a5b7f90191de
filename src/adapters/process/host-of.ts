import { ContainerConfiguration } from '../../domain/configuration-migrator.js'
import { containerHost } from './container-host.js'
import { THIS_MACHINE, type ToolHost } from './tool-host.js'

/** How an image or a Compose service is written that has the programs; neither: they are on this machine. */
interface Written {
  image?: string | undefined
  service?: string | undefined
  container?: ContainerConfiguration | undefined
}

/** Where they run. `sources`: a folder for what is copied out of images. */
export function hostOf({ image, service, container: written }: Written, sources: string): ToolHost {
  const container = ContainerConfiguration.parse(written ?? {})
  if (image !== undefined) return containerHost({ image, container }, sources)
  return service === undefined ? THIS_MACHINE : containerHost({ service, container }, sources)
}

import { ContainerConfiguration, type MigratorConfiguration } from '../../domain/configuration-migrator.js'
import { containerHost } from '../process/container-host.js'
import { THIS_MACHINE, type ToolHost } from '../process/tool-host.js'

/** Where the release's tool runs. `sources`: a folder for what is copied out of images. */
export function hostOf({ image, service, container: written }: MigratorConfiguration, sources: string): ToolHost {
  const container = ContainerConfiguration.parse(written ?? {})
  if (image !== undefined) return containerHost({ image, container }, sources)
  return service === undefined ? THIS_MACHINE : containerHost({ service, container }, sources)
}

import type { ComposeProject } from '../../domain/configuration-compose.js'
import type { ContainerConfiguration } from '../../domain/configuration-migrator.js'
import type { RunRequest } from './run.js'

/** The image that a release's container is made of, or the Compose service; `{tag}` is replaced. */
export type ContainerSource = { container: ContainerConfiguration } & ({ image: string } | { service: string })

export interface NewContainer {
  name: string
  /** What runs in it; `env` by name only: the values are the client's, and in nobody's arguments. */
  request: Pick<RunRequest, 'command' | 'cwd' | 'env' | 'input' | 'folders'>
  /** Of a source with an image: the image's id. */
  imageId: string
}

/** Containers of one attempt carry its application name: whoever looks at the host sees whose they are. */
export const ATTEMPT_LABEL = 'headgate.attempt'

/** What the container client is called with to run one program in a new container that is gone after it. */
export function clientCommand(source: ContainerSource, { name, request, imageId }: NewContainer): string[] {
  const { container } = source
  const { command, cwd, env = {}, input, folders = [] } = request
  const [program = '', ...rest] = command
  const words = container.keepEntrypoint ? command : rest
  const entrypoint = container.keepEntrypoint ? [] : [program]
  const certificate = env.PGSSLROOTCERT
  const variables = new Set([...Object.keys(env), ...container.env])
  const options = [
    ...['--rm', '--name', name],
    ...(env.PGAPPNAME === undefined ? [] : ['--label', `${ATTEMPT_LABEL}=${env.PGAPPNAME}`]),
    ...[...variables].flatMap((variable) => ['--env', variable]),
    // `system` is a word of libpq's, and the image has certificates of its own.
    ...(certificate?.startsWith('/') ? ['--volume', `${certificate}:${certificate}:ro`] : []),
    ...folders.flatMap((folder) => ['--volume', `${folder}:${folder}`]),
    // What it makes there is the worker's, who has to read and remove it.
    ...(folders.length > 0 && process.getuid && process.getgid
      ? ['--user', `${process.getuid()}:${process.getgid()}`]
      : []),
    ...(cwd === undefined ? [] : ['--workdir', cwd]),
  ]
  if ('service' in source) {
    // Compose reads its entrypoint as a shell would read words.
    const own = entrypoint.flatMap((word) => ['--entrypoint', `'${word.replaceAll("'", `'\\''`)}'`])
    return [
      ...composeCommand(container),
      ...['run', '--no-deps', '--pull', 'never', '-T', ...options, ...own, source.service, ...words],
    ]
  }
  const own = entrypoint.flatMap((word) => ['--entrypoint', word])
  const reads = input === undefined ? [] : ['--interactive']
  const network = ['--network', container.network]
  return [...container.engine, 'run', ...reads, ...network, ...options, ...own, imageId, ...words]
}

/** Compose for the configured files and project; the words of a subcommand follow. */
export function composeCommand({ engine, files, project }: ComposeProject): string[] {
  const named = project === undefined ? [] : ['--project-name', project]
  return [...engine, 'compose', '--progress', 'quiet', ...files.flatMap((file) => ['--file', file]), ...named]
}

import { describe, expect, it } from 'vitest'
import { clientCommand, type ContainerSource } from '../../../src/adapters/process/container.js'
import { ContainerConfiguration } from '../../../src/domain/configuration-migrator.js'

const container = (written: object = {}): ContainerConfiguration => ContainerConfiguration.parse(written)
const env = { PGAPPNAME: 'hg:0a1b2c3d:7:migrate', PGPASSWORD: 'sEcret-Pw-7' }
const called = (source: ContainerSource, request: object = {}): string =>
  clientCommand(source, {
    ...{ name: 'headgate-1', imageId: 'sha256:11' },
    request: { command: ['alembic', 'upgrade', 'head'], env, ...request },
  }).join(' ')

describe('the container client', () => {
  it('runs an image by its id, on the network of the host', () => {
    expect(called({ image: 'shop:{tag}', container: container() })).toBe(
      'docker run --network host --rm --name headgate-1 --label headgate.attempt=hg:0a1b2c3d:7:migrate' +
        ' --env PGAPPNAME --env PGPASSWORD --entrypoint alembic sha256:11 upgrade head',
    )
  })

  it('gives a Compose service its files and project, and starts nothing beside it', () => {
    const written = { files: ['/srv/a.yaml', '/srv/b.yaml'], project: 'shop', env: ['TOKEN'] }
    expect(called({ service: 'admin', container: container(written) })).toBe(
      'docker compose --progress quiet --file /srv/a.yaml --file /srv/b.yaml --project-name shop' +
        ' run --no-deps --pull never -T --rm --name headgate-1 --label headgate.attempt=hg:0a1b2c3d:7:migrate' +
        " --env PGAPPNAME --env PGPASSWORD --env TOKEN --entrypoint 'alembic' admin upgrade head",
    )
  })

  it.each([
    ['keeps the image`s entrypoint when it is told to', { keepEntrypoint: true }, {}, 'sha256:11 alembic upgrade head'],
    ['calls another engine', { engine: ['sudo', 'podman'] }, {}, 'sudo podman run --network host'],
    ['joins another network', { network: 'shop_default' }, {}, 'run --network shop_default'],
    ['runs in a folder of the image', {}, { cwd: '/app' }, '--workdir /app'],
    ['hands its standard input on where there is one', {}, { input: 'x' }, 'run --interactive'],
    [
      'gives the certificate of the server by its file',
      {},
      { env: { PGSSLROOTCERT: '/etc/ca.pem' } },
      '--env PGSSLROOTCERT --volume /etc/ca.pem:/etc/ca.pem:ro',
    ],
  ])('%s', (_, written, request, words) => {
    expect(called({ image: 'shop:{tag}', container: container(written) }, request)).toContain(words)
  })

  it('mounts no certificate that is only a word', () => {
    expect(called({ image: 'a', container: container() }, { env: { PGSSLROOTCERT: 'system' } })).not.toContain(
      '--volume',
    )
  })

  it('never has a value among its arguments', () => {
    for (const source of [{ image: 'a' }, { service: 'b' }])
      expect(called({ ...source, container: container() } as ContainerSource)).not.toContain('sEcret')
  })

  it('quotes the program for Compose, which reads it as a shell would read words', () => {
    const command = ["/opt/it's here/run", 'up']
    expect(called({ service: 'admin', container: container() }, { command })).toContain(
      `--entrypoint '/opt/it'\\''s here/run' admin up`,
    )
  })
})

import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createConsumer } from '../../../src/adapters/consumer/index.js'
import type { ConsumerState } from '../../../src/adapters/consumer/port.js'
import { failedWith } from '../../../src/domain/failures.js'
import { OpenFence } from '../../support/open-fence.js'
import { type ProgramFolder, programFolder } from '../../support/program-folder.js'
import { type SpokenFixture, spokenContract } from './contract.js'

const CHANGE = (state: string) =>
  `if [ -e fails ]; then cat fails >&2; exit 3; fi
sed -i 's/"state":"[a-z]*"/"state":"${state}"/' state`

function consumerIn(folder: ProgramFolder, secrets: readonly string[] = []) {
  const pause = [folder.script('pause', CHANGE('paused'))]
  const resume = [folder.script('resume', CHANGE('running'))]
  const status = [folder.script('status', 'if [ -e said ]; then cat said; else cat state; fi')]
  const configuration = { kind: 'command', pause, resume, status, within: 20_000 } as const
  return createConsumer(
    'orders',
    { ...configuration, pause: [...pause], resume: [...resume], status: [...status] },
    { directory: folder.path, secrets },
  )
}

async function fixture(secrets: readonly string[]): Promise<SpokenFixture> {
  const folder = programFolder()
  const write = (name: string, text: string): void => writeFileSync(join(folder.path, name), text)
  const set = (state: ConsumerState): void => write('state', JSON.stringify(state))
  set({ state: 'running', inFlight: 0 })
  return {
    consumer: consumerIn(folder, secrets),
    state: () => JSON.parse(readFileSync(join(folder.path, 'state'), 'utf8')).state,
    set,
    say: (text) => write('said', text),
    fail: (text) => write('fails', text),
    close: async () => folder.remove(),
  }
}

spokenContract('command', fixture)

describe('a command consumer', () => {
  const signal = new AbortController().signal
  let folder: ProgramFolder

  beforeEach(() => {
    folder = programFolder()
  })
  afterEach(() => folder.remove())

  const consumer = (status: string[], pause: string[] = ['true']) =>
    createConsumer(
      'orders',
      { kind: 'command', pause, resume: ['true'], status, within: 500 },
      { directory: folder.path, secrets: [] },
    )

  it('is not believed when its status program fails, whatever that printed', async () => {
    const status = folder.script('status', `echo '{"state":"paused","inFlight":0}'; echo 'no broker' >&2; exit 1`)
    await expect(consumer([status]).state(signal)).rejects.toThrow(
      'consumer orders: status ended with exit code 1: no broker',
    )
  })

  it('gives its arguments to the program as they are: no shell reads them', async () => {
    const status = folder.script('status', `printf '%s' "$1" > argument; echo '{"state":"paused","inFlight":0}'`)
    const argument = '$(touch touched); `touch touched` && touch touched'
    await consumer([status, argument]).state(signal)
    expect(readFileSync(join(folder.path, 'argument'), 'utf8')).toBe(argument)
    expect(existsSync(join(folder.path, 'touched'))).toBe(false)
  })

  it('is ended when it takes longer than it may', async () => {
    const pause = folder.script('pause', 'sleep 60')
    const error = await consumer(['true'], [pause])
      .pause(new OpenFence())
      .catch((thrown: unknown) => thrown)
    expect(failedWith(error, 'ToolTimedOut')).toBe(true)
  })

  it('says which program is missing', async () => {
    const error = await consumer(['./not-there'])
      .state(signal)
      .catch((thrown: unknown) => thrown)
    expect(failedWith(error, 'ToolMissing')).toBe(true)
  })
})

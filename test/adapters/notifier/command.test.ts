import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createNotifier } from '../../../src/adapters/notifier/index.js'
import { type ProgramFolder, programFolder } from '../../support/program-folder.js'
import { NOTICE, notifierContract } from './contract.js'

const signal = new AbortController().signal

notifierContract('command', async (secrets) => {
  const folder = programFolder()
  const arrived = join(folder.path, 'arrived')
  const tell = folder.script('tell', 'if [ -e refusal ]; then cat refusal >&2; exit 1; fi; cat >> arrived')
  return {
    notifier: createNotifier({ kind: 'command', command: [tell] }, { directory: folder.path, secrets }),
    arrived: () =>
      (existsSync(arrived) ? readFileSync(arrived, 'utf8') : '')
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line)),
    leave: async () => rmSync(tell),
    refuse: (text) => writeFileSync(join(folder.path, 'refusal'), text),
    close: async () => folder.remove(),
  }
})

describe('a notifier program', () => {
  let folder: ProgramFolder

  beforeEach(() => {
    folder = programFolder()
  })
  afterEach(() => folder.remove())

  const notifier = (...command: string[]) =>
    createNotifier({ kind: 'command', command }, { directory: folder.path, secrets: [] })

  it('says why it failed', async () => {
    const tell = folder.script('tell', 'echo "no route to host" >&2; exit 7')
    await expect(notifier(tell).send(NOTICE, signal)).rejects.toThrow('ended with exit code 7: no route to host')
  })

  it('is given the notice on its standard input only: no part of it is an argument', async () => {
    const tell = folder.script('tell', 'printf "%s" "$*" > arguments')
    await notifier(tell, '--channel', '$(touch touched)').send(NOTICE, signal)
    expect(readFileSync(join(folder.path, 'arguments'), 'utf8')).toBe('--channel $(touch touched)')
    expect(existsSync(join(folder.path, 'touched'))).toBe(false)
  })

  it('need not read its input', async () => {
    await notifier('true').send({ ...NOTICE, text: 'x'.repeat(1_000_000) }, signal)
  })
})

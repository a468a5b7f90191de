import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createChecks } from '../../../src/adapters/check/index.js'
import type { Check } from '../../../src/adapters/check/port.js'
import { parseTarget } from '../../../src/adapters/postgres/target.js'
import { SmokeCheck } from '../../../src/domain/configuration-checks.js'
import { type ProgramFolder, programFolder } from '../../support/program-folder.js'
import { CONTEXT, checkContract, SECRET } from './contract.js'

const signal = new AbortController().signal
let folder: ProgramFolder

function check(configuration: object, directory = folder.path): Check {
  const target = parseTarget('postgres://nobody@127.0.0.1:1/none')
  const setting = { target, applicationName: 'hg:00000000:1:smoke', directory, secrets: [SECRET] }
  const [made] = createChecks([SmokeCheck.parse(configuration)], setting)
  if (!made) throw new Error('no check was made')
  return made
}

checkContract('command', async () => {
  const own = programFolder()
  own.script('smoke', `if [ -e bad ]; then echo "login with ${SECRET} failed" >&2; exit 3; fi`)
  return {
    check: check({ command: ['./smoke'] }, own.path),
    become: async (condition) => {
      if (condition === 'bad') writeFileSync(join(own.path, 'bad'), '')
      if (condition === 'gone') own.remove()
    },
    close: async () => own.remove(),
  }
})

describe('a smoke check by a program', () => {
  beforeEach(() => {
    folder = programFolder()
  })
  afterEach(() => folder.remove())

  it('is told of tag, run and version, as arguments', async () => {
    folder.script('smoke', 'echo "$@" "$HEADGATE_RUN" "$HEADGATE_TAG" > said')
    await check({ command: ['./smoke', '--tag={tag}', '{version}'] }).run(CONTEXT, signal)
    expect(readFileSync(join(folder.path, 'said'), 'utf8')).toBe(
      '--tag=v1 0042_add_email production-20261120-103015 v1\n',
    )
  })

  it.each([
    ['that succeeds', 'exit 0', true],
    ['that fails', 'exit 4', false],
  ])('%s is cleaned up after', async (_, end, ok) => {
    folder.script('smoke', `touch "mark-$1"; ${end}`)
    folder.script('clean', 'rm "mark-$1"')
    const result = await check({ command: ['./smoke', '{run}'], clean: ['./clean', '{run}'] }).run(CONTEXT, signal)
    expect(result.ok).toBe(ok)
    expect(existsSync(join(folder.path, `mark-${CONTEXT.run}`))).toBe(false)
  })

  it('that is stopped is cleaned up after, too', async () => {
    folder.script('smoke', 'touch mark; sleep 60')
    folder.script('clean', 'rm mark')
    const stop = new AbortController()
    const asked = check({ command: ['./smoke'], clean: ['./clean'] })
      .run(CONTEXT, stop.signal)
      .catch((error: unknown) => error)
    await expect.poll(() => existsSync(join(folder.path, 'mark'))).toBe(true)
    stop.abort(new Error('enough'))
    expect(String(await asked)).toContain('enough')
    expect(existsSync(join(folder.path, 'mark'))).toBe(false)
  })

  it('is no proof where what it wrote could not be taken away', async () => {
    folder.script('smoke', 'exit 0')
    folder.script('clean', 'echo "three rows are left" >&2; exit 1')
    const { ok, found } = await check({ command: ['./smoke'], clean: ['./clean'] }).run(CONTEXT, signal)
    expect(ok).toBe(false)
    expect(found).toBe('clean: exit 1: three rows are left')
  })

  it('that takes too long is ended', async () => {
    folder.script('smoke', 'sleep 60')
    const { ok, found } = await check({ command: ['./smoke'], within: '300ms' }).run(CONTEXT, signal)
    expect(ok).toBe(false)
    expect(found).toContain('300 ms')
  })
})

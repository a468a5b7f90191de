import { describe, expect, it } from 'vitest'
import { readSettings } from '../../../src/adapters/configuration/index.js'
import { failedWith, messageOf } from '../../../src/domain/failures.js'

describe('readSettings', () => {
  it('has a default for everything that needs one', () => {
    const settings = readSettings({ HOME: '/home/ana' })
    expect(settings).toEqual({
      project: undefined,
      config: './headgate.yaml',
      user: undefined,
      sshKey: undefined,
      home: '/home/ana/.local/state/headgate',
      cache: '/home/ana/.cache/headgate',
    })
    expect(Object.isFrozen(settings)).toBe(true)
  })

  it('follows the XDG folders, where they are absolute', () => {
    const at = (XDG_STATE_HOME: string) => readSettings({ HOME: '/home/ana', XDG_STATE_HOME }).home
    expect([at('/state'), at('state'), at('')]).toEqual([
      '/state/headgate',
      '/home/ana/.local/state/headgate',
      '/home/ana/.local/state/headgate',
    ])
  })

  it('reads its variables, and the command line before them', () => {
    const env = {
      HEADGATE_PROJECT: 'shop',
      HEADGATE_CONFIG: '/etc/headgate.yaml',
      HEADGATE_USER: 'ana',
      HEADGATE_SSH_KEY: '/keys/ana',
      HEADGATE_HOME: '/var/lib/headgate',
      HEADGATE_CACHE: '/var/cache/headgate',
    }
    const settings = readSettings(env)
    expect(Object.values(settings)).toEqual(Object.values(env))
    const overrides = { project: 'store', config: 'other.yaml', key: '/keys/ben' }
    expect(readSettings(env, overrides)).toMatchObject({ project: 'store', config: 'other.yaml', sshKey: '/keys/ben' })
  })

  it('refuses a project that is no name, and says where it stands', () => {
    const refusal = (work: () => unknown): unknown => {
      try {
        return work()
      } catch (error) {
        return error
      }
    }
    const error = refusal(() => readSettings({ HEADGATE_PROJECT: 'My Shop' }))
    expect(failedWith(error, 'UsageInvalid')).toBe(true)
    expect(messageOf(error)).toMatch(/^HEADGATE_PROJECT: a name is/)
    expect(messageOf(refusal(() => readSettings({}, { project: '' })))).toMatch(/^--project: a name is/)
  })
})

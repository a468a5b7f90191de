import { describe, expect, it } from 'vitest'
import { environmentNames, parseConfiguration } from '../../../src/adapters/configuration/index.js'
import { failedWith, messageOf } from '../../../src/domain/failures.js'
import { BAD_FILES } from './bad-files.js'

function refusal(yaml: string): unknown {
  try {
    environmentNames(parseConfiguration(yaml, 'headgate.yaml'))
  } catch (error) {
    return error
  }
  return undefined
}

describe('a bad file is refused for', () => {
  it.each(BAD_FILES)('$title', ({ yaml, says }) => {
    const error = refusal(yaml)
    expect(messageOf(error).split('\n')).toEqual(says.map((line) => `headgate.yaml:${line}`))
    expect(failedWith(error, 'ConfigurationInvalid')).toBe(true)
  })

  it('everything at once, without telling any value', () => {
    for (const { yaml } of BAD_FILES) expect(messageOf(refusal(yaml))).not.toMatch(/hunter2|hun\/ter|drop table/)
  })

  it('aliases that stand for more than fits into memory', () => {
    const levels = Array.from(
      { length: 40 },
      (_, n) => `l${n + 1}: &l${n + 1} [${Array(10).fill(`*l${n}`).join(', ')}]`,
    )
    const message = messageOf(refusal(`l0: &l0 [x]\n${levels.join('\n')}\n`))
    expect(message).toContain('the file has more than 10000 values')
  })

  it('brackets nested by the hundred thousand', () => {
    expect(messageOf(refusal(`name: ${'['.repeat(400_000)}`))).toMatch(/^headgate\.yaml/)
  })

  it('at most 40 problems, and says how many more there are', () => {
    const keys = Array.from({ length: 60 }, (_, n) => `zz${n}: 1`).join('\n')
    const lines = messageOf(refusal(keys)).split('\n')
    expect(lines).toHaveLength(41)
    expect(lines.at(-1)).toBe('headgate.yaml: and 22 more problems')
  })
})

import { expect, test } from 'vitest'
import { reportMarkdown } from '../../src/cli/report-markdown.js'
import { report } from './report-of-shop.js'

test('a report says in Markdown what ran, with every attempt, who approved, and how to repeat it', () => {
  expect(reportMarkdown(report())).toBe(`# production-20261120-120300

|  |  |
| - | - |
| outcome | succeeded |
| reason | every step is done |
| database | shop: at the target, verified |
| services | on the new image |
| consumers | as before the run |
| what | deploy of shop to production, tag 2 |
| asked by | ana \\(a claim\\) |
| plan | 3f9a0c1d2e4b |
| started | 2026-11-20 12:03 UTC |
| took | 1 min 05 s |

## Migrations

| stage | version | name | phase |
| - | - | - | - |
| 1 | 0002\\_add\\_sku | add sku | expand |

## Steps

| at | stage | step | attempt | state | took | note |
| - | - | - | - | - | - | - |
| 12:03:04 | 1 | migrate | 1 | failed | 0.5 s | FenceLost: taken over |
| 12:03:14 | 1 | migrate | 2 | done | 1.3 s | 1 applied |

## Decisions

| at | stage | decision | by | counts | plan | note |
| - | - | - | - | - | - | - |
| 2026-11-20 12:04 UTC | 2 | approve | ben, verified | yes | 3f9a | signature verified |

## Backups

| name | state | gate | size | where |
| - | - | - | - | - |
| pre\\_migration\\_20261120\\_120303-s1e2/clone | valid | closed | 8.1 MB | shop\\_\\_c\\_1 |

## Commands

\`\`\`text
headgate deploy production --tag 2
\`\`\`
`)
})

test('what others wrote is text: no markup, no HTML, no table`s edge, no control character', () => {
  const hostile = '<script>alert(1)</script> | [x](javascript:y) `a` \u001b[31m*b*\n# c & ![i](u)'
  const { ending, ...open } = report({ requestedBy: hostile })
  const text = reportMarkdown(open)
  expect(text).toContain(
    '| asked by | &lt;script&gt;alert\\(1\\)&lt;/script&gt; \\| \\[x\\]\\(javascript:y\\) \\`a\\` \\*b\\* \\# c &amp; \\!\\[i\\]\\(u\\) |',
  )
  expect(text).toContain('| outcome | open |')
})

test('evidence stands in a fence that it cannot close', () => {
  const [step] = report().steps
  const text = reportMarkdown(report({ steps: step ? [{ ...step, evidence: 'a\n```\n# b\n````\n\u0007c' }] : [] }))
  expect(text).toContain('## Evidence of migrate, attempt 1\n\n`````text\na\n```\n# b\n````\nc\n`````')
})

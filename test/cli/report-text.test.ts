import { expect, test } from 'vitest'
import { reportLines } from '../../src/cli/report-text.js'
import { report } from './report-of-shop.js'

test('on a terminal a report is aligned, without Markdown`s escapes', () => {
  const events = [{ at: '2026-11-20T12:04:05.000Z', type: 'ended', text: 'ended as succeeded: every step is done' }]
  expect(reportLines(report({ events })).join('\n')).toBe(`production-20261120-120300
  outcome    succeeded
  reason     every step is done
  database   shop: at the target, verified
  services   on the new image
  consumers  as before the run
  what       deploy of shop to production, tag 2
  asked by   ana (a claim)
  plan       3f9a0c1d2e4b
  started    2026-11-20 12:03 UTC
  took       1 min 05 s

Migrations
  STAGE  VERSION       NAME     PHASE
  1      0002_add_sku  add sku  expand

Steps
  AT        STAGE  STEP     ATTEMPT  STATE   TOOK   NOTE
  12:03:04  1      migrate  1        failed  0.5 s  FenceLost: taken over
  12:03:14  1      migrate  2        done    1.3 s  1 applied

Decisions
  AT                    STAGE  DECISION  BY             COUNTS  PLAN  NOTE
  2026-11-20 12:04 UTC  2      approve   ben, verified  yes     3f9a  signature verified

Backups
  NAME                                      STATE  GATE    SIZE    WHERE
  pre_migration_20261120_120303-s1e2/clone  valid  closed  8.1 MB  shop__c_1

Events
  AT                    WHAT
  2026-11-20 12:04 UTC  ended as succeeded: every step is done

Commands
  headgate deploy production --tag 2`)
})

test('what others wrote stays on its line, and sends the terminal nothing', () => {
  const [step] = report().steps
  const steps = step ? [{ ...step, note: 'a\n\u001b[2Jb', evidence: 'line 1\n\u001b]0;x\u0007line 2\n' }] : []
  const text = reportLines(report({ steps })).join('\n')
  expect(text).toContain('failed  0.5 s  a b\n')
  expect(text).toContain('\nEvidence of migrate, attempt 1\n  line 1\n  line 2\n')
  expect(text).not.toContain('\u001b')
})

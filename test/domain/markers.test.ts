import { expect, test } from 'vitest'
import { unheardMarker } from '../../src/domain/markers.js'

const TOP = 200
const at = (text: string, leading = text.length): string | undefined => unheardMarker(text, { leading })

test.each([
  '-- headgate:phase=contract',
  '-- headgate:phase=contract, because nobody reads it',
  '/* headgate:no-transaction */',
  '-- headgate:waive breaks-previous-image: nobody has read it',
  '-- applied by headgate: it locks the table',
  "comment on table a is 'headgate:phase=contact'",
  '-- headgate: phase 1 of the rename, phase 2 follows',
  '-- headgate: waived by the DBA',
  '-- run by docker registry.internal/headgate:latest',
  '-- 0041 was headgate:phase=expnd, this is the other half',
  "insert into s values ('https://registry.internal/headgate:latest');",
  "insert into s values ('issue #12 headgate:later');",
  '-- see headgate.yaml, https://example.com/headgate',
])('%s is heard, or none of ours', (text) => {
  expect(unheardMarker(text, { leading: /^--|^\/\*/.test(text) ? TOP : 0 })).toBeUndefined()
})

test.each([
  ['-- headgate:phase=contact', '1:4: headgate:phase=contact: did you mean headgate:phase=contract?'],
  ['\n-- first\n--   headgate:no-transactions', '3:6: headgate:no-transactions: did you mean headgate:no-transaction?'],
  ['-- headgate: phase=contract', '1:4: headgate: phase=contract: write it as headgate:phase=contract'],
  [
    '-- headgate:later',
    '1:4: headgate:later: there is no such marker; known: phase=contract, phase=expand, no-transaction, waive',
  ],
  ['-- headgate:waive breaks-previous-image', '1:4: headgate:waive: write it as headgate:waive RULE: reason'],
  [
    '-- headgate:waive break-previous-image: old',
    '1:4: headgate:waive: there is no rule break-previous-image, did you mean breaks-previous-image?',
  ],
])('%j says nothing', (text, said) => {
  expect(at(text)).toBe(said)
})

test('the docstring of a revision is looked at as the comment that it is', () => {
  expect(at('Bookings by customer\n\nheadgate:phase=contact\n')).toBe(
    '3:1: headgate:phase=contact: did you mean headgate:phase=contract?',
  )
})

test('a phase below the first statement is not heard', () => {
  expect(at('select 1;\n-- headgate:phase=contract', 0)).toBe(
    '2:4: headgate:phase=contract: it counts only in the comment at the top of the file',
  )
})

test('what a migrator has another word for is told', () => {
  const instead = { 'no-transaction': 'begin the file with -- no-transaction' }
  expect(unheardMarker('-- headgate:no-transaction', { leading: TOP, instead })).toBe(
    '1:4: headgate:no-transaction: begin the file with -- no-transaction',
  )
})

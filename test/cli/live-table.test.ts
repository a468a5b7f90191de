import { expect, test } from 'vitest'
import { LiveTable } from '../../src/cli/live-table.js'
import type { Terminal } from '../../src/cli/terminal.js'

/** A screen that knows the two sequences the table uses. */
function screen(columns: number, rows: number): { terminal: Terminal; lines: () => string[] } {
  let lines: string[] = []
  const draw = (text: string): void => {
    const [, up, rest = ''] = /^(?:\x1b\[(\d+)F\x1b\[0J)?([\s\S]*)$/.exec(text) ?? []
    lines = [...lines.slice(0, lines.length - Number(up ?? 0)), ...rest.split('\n').slice(0, -1)]
  }
  const say = (text = ''): void => draw(`${text}\n`)
  const terminal: Terminal = {
    json: false,
    isTty: true,
    live: true,
    interactive: true,
    columns,
    rows,
    say,
    note: say,
    answer: () => {},
    draw,
    ask: async () => '',
  }
  return { terminal, lines: () => lines }
}

const step = (n: number, note: string) =>
  ({
    event: 'step',
    step: 'verify',
    stage: n,
    state: 'done',
    text: '',
    startedAt: 1_000,
    endedAt: 2_000,
    note,
  }) as const

test('lines that would wrap or scroll away are cut while the run goes on, and whole at its end', () => {
  const { terminal, lines } = screen(44, 10)
  const table = new LiveTable(terminal)
  for (let n = 1; n <= 20; n++) table.show(step(n, `a note that is much longer than the line ${n}`))
  expect(lines()).toHaveLength(8)
  expect(Math.max(...lines().map((line) => line.length))).toBeLessThan(44)
  table.close()
  expect(lines()).toHaveLength(21)
  expect(lines().at(-1)).toBe('✓ 20 verify                   1.0 s  a note that is much longer than the line 20')
})

test('what a step says cannot draw on the screen', () => {
  const { terminal, lines } = screen(120, 40)
  const table = new LiveTable(terminal)
  table.show(step(1, '\u001b[2Jgone\r\nnext'))
  table.close()
  expect(lines()).toEqual(['asking the worker for a plan', '✓ 1 verify                   1.0 s  gone next'])
})

test('a wait that a new execution takes up is one line, and its call goes when it is over', () => {
  const { terminal, lines } = screen(120, 40)
  const table = new LiveTable(terminal)
  const wait = {
    event: 'step',
    step: 'await-approval',
    stage: 2,
    text: 'wait for approval of 1 contract migration',
  } as const
  table.show({ ...wait, state: 'waiting', startedAt: 1_000 })
  table.show({ event: 'waiting', run: 'r', stage: 2, command: 'headgate approve r' })
  table.show({ ...wait, state: 'waiting', startedAt: 2_000 })
  expect(lines()).toHaveLength(4)
  expect(lines().at(-1)).toBe('waits for approval: headgate approve r')
  table.show({ ...wait, state: 'done', startedAt: 2_000, endedAt: 3_000 })
  table.close()
  expect(lines()).toEqual([
    'asking the worker for a plan',
    '✓ 2 await-approval           1.0 s  wait for approval of 1 contract migration',
  ])
})

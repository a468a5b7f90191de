import { readdirSync, readFileSync } from 'node:fs'
import { hostname, userInfo } from 'node:os'
import { expect, test } from 'vitest'
import { NOT_WHAT_IT_DID, replay } from '../support/replay.js'
import { parseHistory, type StoredHistory, toHistory } from '../support/stored-history.js'

/** Histories of runs that earlier code wrote: whatever waits on somebody's server must go on with the present code. */
const FOLDER = new URL('../histories/', import.meta.url)
const stored = new Map(
  readdirSync(FOLDER).map((file) => [file.replace('.json', ''), readFileSync(new URL(file, FOLDER), 'utf8')]),
)

/** The same history with the names of two activities exchanged, as if their steps had been. */
function swapped(history: StoredHistory, one: string, other: string): StoredHistory {
  const copy = structuredClone(history)
  for (const { activityTaskScheduledEventAttributes: scheduled } of copy.events) {
    if (scheduled?.activityType.name === one) scheduled.activityType.name = other
    else if (scheduled?.activityType.name === other) scheduled.activityType.name = one
  }
  return copy
}

test('there is a history of every outcome and workflow, of a run that waits, and of one that is held', () => {
  expect([...stored.keys()].sort()).toEqual([
    'aborted',
    'backup',
    'deferred',
    'held',
    'init-db',
    'needs-operator',
    'recovered-by-choice',
    'recovered-by-itself',
    'recovered-with-a-fix',
    'repair',
    'restore',
    'restored',
    'rolled-back',
    'rolled-down',
    'succeeded',
    'succeeded-until-approval',
    'waiting-for-approval',
  ])
})

for (const [name, text] of stored) {
  test(`a recorded run replays on the present code: ${name}`, async () => {
    await replay(toHistory(parseHistory(text)))
  })
  test(`a recorded history says nothing of the machine it was recorded on: ${name}`, () => {
    const payloads = [...text.matchAll(/"data":"([^"]*)"/g)].map(([, data = '']) => atob(data))
    const words = [text, ...payloads].join('\n')
    for (const word of [hostname(), '/tmp/', '/home/', '/root/', '/work/', 'postgres://', process.cwd()])
      expect(words).not.toContain(word)
    if (userInfo().username !== 'root') expect(words).not.toContain(userInfo().username)
  })
}

test('refused: a recorded run whose restart came before its backup', async () => {
  const history = parseHistory(stored.get('succeeded-until-approval') ?? '')
  await expect(replay(toHistory(swapped(history, 'restartServices', 'takeBackup')))).rejects.toThrow(NOT_WHAT_IT_DID)
})

test('refused: a recorded run whose consumers were resumed before the database was back', async () => {
  const history = parseHistory(stored.get('restored') ?? '')
  await expect(replay(toHistory(swapped(history, 'putBack', 'resumeConsumers')))).rejects.toThrow(NOT_WHAT_IT_DID)
})

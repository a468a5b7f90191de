import { openSession } from './database.mjs'
import { handleBatch } from './movements.mjs'
import { countLines } from './topic.mjs'

const IDLE_MS = 50
const RETRY_MS = 250
/** An idle consumer looks for messages by its heartbeat, so a new one waits this long at most. */
const HEARTBEAT_MS = 1_000

/** A consumer that goes on until it is paused or ended, and comes back by itself when the database was away. */
export function consume({ databaseUrl, topic, file, paused: pausedBefore }) {
  let session
  let position
  let processed = 0
  let inFlight = 0
  let paused = pausedBefore
  let ended = false
  let current = Promise.resolve()
  let busy = false
  let nextHeartbeat = 0
  let wake = () => {}

  const batch = async () => {
    try {
      const isQuiet = position !== undefined && (await countLines(file, position)) === 0
      if (isQuiet && performance.now() < nextHeartbeat) return IDLE_MS
      session ??= await openSession(databaseUrl, 'shop-consumer')
      const done = await handleBatch(session, topic, file, (count) => (inFlight = count))
      nextHeartbeat = performance.now() + HEARTBEAT_MS
      position = done.position
      processed += done.handled
      return done.handled > 0 ? 0 : IDLE_MS
    } catch (error) {
      console.error(`will try again: ${error.message}`)
      await disconnect()
      return RETRY_MS
    } finally {
      inFlight = 0
    }
  }
  const disconnect = async () => {
    const left = session
    session = undefined
    await left?.end().catch(() => {})
  }
  const sleep = (ms) =>
    new Promise((resolve) => {
      const timer = ms === undefined ? undefined : setTimeout(resolve, ms)
      wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  const work = async () => {
    while (!ended) {
      if (paused) {
        await sleep()
        continue
      }
      busy = true
      current = batch().finally(() => (busy = false))
      const restMs = await current
      if (restMs > 0 && !paused && !ended) await sleep(restMs)
    }
  }
  const working = work()

  return {
    /** `paused` only once nothing is under way: no message, no heartbeat, no session. */
    async status() {
      const state = paused && !busy ? 'paused' : 'running'
      const lag = position === undefined ? {} : { lag: await countLines(file, position) }
      return { state, inFlight, ...lag, processed }
    },
    /** Returns once what was under way is committed or undone, and the session is closed. */
    async pause() {
      paused = true
      wake()
      await current
      await disconnect()
    },
    resume() {
      paused = false
      wake()
    },
    async end() {
      ended = true
      wake()
      await working
      await disconnect()
    },
  }
}

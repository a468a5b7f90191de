// One set-up at a time: two would write the same folders. A lock whose owner is gone is taken over.
import { link, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'

const POLL_MS = 250
const WAIT_MS = 30 * 60_000

/** Runs `work` while nobody else holds the lock in `path`. Says once that it waits. */
export async function withLock(path, work) {
  const deadline = Date.now() + WAIT_MS
  for (let told = false; !(await acquire(path)); told = true) {
    const owner = Number(await readFile(path, 'utf8').catch(() => ''))
    if (owner && !isAlive(owner)) {
      await takeAway(path, owner)
      continue
    }
    if (!told) console.log(`waiting for another set-up, process ${owner}`)
    if (Date.now() > deadline) throw new Error(`another set-up does not end; if there is none, remove ${path}`)
    await sleep(POLL_MS)
  }
  try {
    return await work()
  } finally {
    await rm(path, { force: true })
  }
}

/** A file under its own name first: the lock is never seen without its owner in it. */
async function acquire(path) {
  const mine = `${path}.${process.pid}`
  await writeFile(mine, String(process.pid))
  try {
    await link(mine, path)
    return true
  } catch (error) {
    if (error.code === 'EEXIST') return false
    throw error
  } finally {
    await rm(mine, { force: true })
  }
}

/** By renaming: of several who find the same dead owner one gets the file, and puts back what is not the dead one's. */
async function takeAway(path, owner) {
  const stale = `${path}.stale.${process.pid}`
  try {
    await rename(path, stale)
    if (Number(await readFile(stale, 'utf8')) !== owner) await link(stale, path)
  } catch (error) {
    if (!['ENOENT', 'EEXIST'].includes(error.code)) throw error
  }
  await rm(stale, { force: true })
}

function isAlive(pid) {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error.code === 'EPERM'
  }
}

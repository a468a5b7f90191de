import { open } from 'node:fs/promises'

/**
 * A file of keys, one a line. `add` returns once its key is on the disk, not before; keys that arrive while the disk is
 * busy go together.
 */
export async function openAcknowledgements(file) {
  const handle = await open(file, 'a', 0o600)
  let waiting = []
  let isWriting = false

  const write = async () => {
    isWriting = true
    while (waiting.length > 0) {
      const keys = waiting
      waiting = []
      try {
        await handle.appendFile(keys.map(({ key }) => `${key}\n`).join(''))
        await handle.sync()
        for (const { done } of keys) done()
      } catch (error) {
        for (const { failed } of keys) failed(error)
      }
    }
    isWriting = false
  }
  return {
    add: (key) =>
      new Promise((done, failed) => {
        waiting.push({ key, done, failed })
        if (!isWriting) write()
      }),
    close: () => handle.close(),
  }
}

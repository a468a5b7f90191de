import { createReadStream } from 'node:fs'
import { appendFile, open } from 'node:fs/promises'

const CHUNK_BYTES = 256 * 1024
const NEWLINE = 0x0a

/** Appends one message to a topic: a file of JSON lines that only grows. */
export const publish = (file, message) => appendFile(file, `${JSON.stringify(message)}\n`)

/** Up to `limit` whole lines from byte `position` on, and where the next one starts. A line still being written waits. */
export async function readLines(file, position, limit) {
  const chunk = await readChunk(file, position)
  const lines = []
  let start = 0
  for (let end = chunk.indexOf(NEWLINE); end !== -1 && lines.length < limit; end = chunk.indexOf(NEWLINE, start)) {
    lines.push(chunk.toString('utf8', start, end))
    start = end + 1
  }
  return { lines, next: position + start }
}

/** A topic that nobody wrote to yet has no file. */
async function readChunk(file, position) {
  const handle = await open(file, 'r').catch(noFile)
  if (!handle) return Buffer.alloc(0)
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(CHUNK_BYTES), 0, CHUNK_BYTES, position)
    return buffer.subarray(0, bytesRead)
  } finally {
    await handle.close()
  }
}

function noFile(error) {
  if (error.code !== 'ENOENT') throw error
}

/** How many whole lines stand behind byte `position`. */
export async function countLines(file, position) {
  let count = 0
  try {
    for await (const chunk of createReadStream(file, { start: position })) {
      for (let at = chunk.indexOf(NEWLINE); at !== -1; at = chunk.indexOf(NEWLINE, at + 1)) count++
    }
  } catch (error) {
    noFile(error)
  }
  return count
}

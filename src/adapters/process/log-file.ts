import { randomBytes } from 'node:crypto'
import { type FileHandle, mkdir, open } from 'node:fs/promises'
import { join } from 'node:path'

/** Where the whole output of a program goes. A log that cannot be written never fails the program. */
export class LogFile {
  #handle: FileHandle | undefined
  #path: string | undefined

  /** The log's path while all of the output is in it. */
  get path(): string | undefined {
    return this.#path
  }

  /** Opens a new file of mode 0600 in `directory` (made with 0700); without one, or where that fails, nothing is kept. */
  static async open(directory: string | undefined, name: string): Promise<LogFile> {
    const log = new LogFile()
    if (directory === undefined) return log
    try {
      await mkdir(directory, { recursive: true, mode: 0o700 })
      const path = join(directory, fileName(name))
      log.#handle = await open(path, 'ax', 0o600)
      log.#path = path
    } catch {
      await log.close()
    }
    return log
  }

  async write(text: string): Promise<void> {
    try {
      await this.#handle?.appendFile(text)
    } catch {
      this.#path = undefined
      await this.close()
    }
  }

  async close(): Promise<void> {
    const handle = this.#handle
    this.#handle = undefined
    await handle?.close().catch(() => {})
  }
}

function fileName(name: string): string {
  const words = name
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, 40)
    .replace(/^-|-$/g, '')
  const at = new Date().toISOString().replace(/[-:]/g, '').replace('T', '-').slice(0, 15)
  return `${at}-${words || 'program'}-${randomBytes(4).toString('hex')}.log`
}

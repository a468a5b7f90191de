import type { Socket } from 'node:net'
import type { Client } from 'pg'
import { splitStatements, type Statement } from './sql-statements.js'
import { isTransactionControl } from './statement-kind.js'
import { filesOf, HELD_HERE, HELD_THERE, type Held, type SessionProfile } from './statement-profile.js'
import {
  columnsOf,
  type Message,
  MessageReader,
  ownQuery,
  parse,
  send,
  simpleQuery,
  texts,
  withoutChannelBinding,
} from './wire.js'

/** The states a server is ready in: outside of a transaction, in one, in one that failed. */
type Status = 'I' | 'T' | 'E'

/** What the server was sent, up to where it says that it is ready again. */
interface Batch {
  sql: string[]
  began: number
  /** Statements of the same message that it gets once those before are done. */
  rest: string[]
  failed: boolean
  rows: number | undefined
  /** Seen by somebody else while it ran: outside of a transaction its locks are gone when it ends. */
  seen: Held[]
}

/** A question of our own, and who gets the first row of its answer. */
interface Question {
  row: (string | null)[] | undefined
  answered: (row: (string | null)[]) => void
}

const OWN = 'headgate_rehearsal'
/** A statement that is over sooner is not looked at from outside. */
const SEEN_AFTER_MS = 20
/** Data of a copy: it belongs to the statement that the server is at. */
const COPY_DATA = new Set(['d', 'c', 'f'])
/** What the server passes over while it takes data. */
const PASSED_OVER = new Set(['S', 'H'])
/** What the server may say at any time. */
const ASIDE = new Set(['N', 'S', 'A'])
/** Says nothing of the relations of the release, and must be first in its transaction, or ends it. */
const UNASKED =
  /^(begin|start|commit|end|rollback|abort|savepoint|release|prepare transaction|set|show|reset|discard|deallocate)\b/

/** One session of a tool. One statement at a time goes to the server; in between the session itself is asked what it holds. */
export class ProxiedSession {
  readonly #client: Socket
  readonly #profile: SessionProfile
  readonly #watch: Client
  #server: Socket | undefined
  #pid = 0
  #status: Status = 'I'
  /** Before the server is ready for the first time everything is handed on. */
  #hasBegun = false
  #isBusy = false
  #waiting: Message[] = []
  #batch: Batch | undefined
  /** Our own question: its answer is not the client's. */
  #own: Question | undefined
  readonly #prepared = new Map<string, string>()
  readonly #portals = new Map<string, string>()

  /** Says why a statement must not be tried here; undefined: it may. */
  readonly #refuse: (statement: Statement) => string | undefined
  /** The statement under way takes data from the client: the server passes over what else it is sent. */
  #isCopying = false

  constructor(
    client: Socket,
    {
      profile,
      watch,
      refuse,
    }: { profile: SessionProfile; watch: Client; refuse: (statement: Statement) => string | undefined },
  ) {
    this.#client = client
    this.#profile = profile
    this.#watch = watch
    this.#refuse = refuse
  }

  /** `client`: what it has sent behind its first message. */
  carry(server: Socket, client: MessageReader): void {
    this.#server = server
    const fromServer = new MessageReader()
    const said = (): void => {
      for (let message = client.next(); message; message = client.next()) this.#fromClient(message)
      if (server.writableNeedDrain) this.#client.pause()
    }
    const answered = (bytes: Buffer): void => {
      fromServer.add(bytes)
      for (let message = fromServer.next(); message; message = fromServer.next()) this.#fromServer(message)
      if (this.#client.writableNeedDrain) server.pause()
    }
    server.on('drain', () => this.#client.resume())
    this.#client.on('drain', () => server.resume())
    this.#client.on('data', (bytes) => {
      client.add(bytes)
      this.#orHangUp(said)
    })
    server.on('data', (bytes) => this.#orHangUp(() => answered(bytes)))
    server.once('close', () => {
      this.#profile.transactionEnded(performance.now())
      this.#client.end()
    })
    this.#orHangUp(said)
    this.#client.resume()
  }

  /** What is not the protocol is nobody's to go on with. */
  #orHangUp(work: () => void): void {
    try {
      work()
    } catch {
      this.#hangUp()
    }
  }

  #hangUp(): void {
    this.#client.destroy()
    this.#server?.destroy()
  }

  #fromClient(message: Message): void {
    // A copy's data is for the statement under way; all else waits for its end.
    const isForIt = this.#isBusy && (COPY_DATA.has(message.type) || (this.#isCopying && PASSED_OVER.has(message.type)))
    if (!this.#hasBegun || isForIt) this.#toServer(message)
    else {
      this.#waiting.push(message)
      this.#pump()
    }
  }

  #pump(): void {
    while (!this.#isBusy) {
      const message = this.#waiting.shift()
      if (message === undefined) return
      this.#take(message)
    }
  }

  #take(message: Message): void {
    const { type, body } = message
    if (type === 'Q') {
      this.#query(message)
      return
    }
    if (type === 'P') {
      const [name = '', sql = ''] = texts(body, 2)
      this.#prepared.set(name, sql)
      const refusal = splitStatements(sql)
        .map(this.#refuse)
        .find((why) => why !== undefined)
      if (refusal !== undefined) {
        this.#batch ??= newBatch()
        this.#toServer(parse(name, raising(refusal)))
        return
      }
    }
    if (type === 'B') {
      const [portal = '', statement = ''] = texts(body, 2)
      this.#portals.set(portal, this.#prepared.get(statement) ?? '')
    }
    if (type !== 'X') this.#batch ??= newBatch()
    if (type === 'E') this.#batch?.sql.push(this.#portals.get(texts(body, 1)[0] ?? '') ?? '')
    if (type === 'S' || type === 'F') this.#begin()
    this.#toServer(message)
  }

  /** In a transaction several statements of one message are sent one by one: that comes to the same, and each is measured. */
  #query(message: Message): void {
    const sql = texts(message.body, 1)[0] ?? ''
    const statements = splitStatements(sql)
    const refusal = statements.map(this.#refuse).find((why) => why !== undefined)
    // What is in another encoding is handed on byte by byte.
    const isReadable = Buffer.from(sql).equals(message.body.subarray(0, -1))
    const isCut = this.#status === 'T' && statements.length > 1 && isReadable && !statements.some(isTransactionControl)
    const batch = newBatch()
    this.#batch = batch
    if (refusal !== undefined) this.#next(batch, sql, simpleQuery(raising(refusal)))
    else if (isCut) {
      batch.rest = inPlace(
        sql,
        statements.map((statement) => statement.sql),
      )
      const first = batch.rest.shift() ?? ''
      this.#next(batch, first, simpleQuery(first))
    } else this.#next(batch, sql, message)
  }

  #next(batch: Batch, sql: string, message: Message): void {
    Object.assign(batch, { sql: [sql], began: performance.now(), rows: undefined, seen: [] })
    this.#begin()
    this.#toServer(message)
  }

  #begin(): void {
    this.#isBusy = true
    if (this.#batch) void this.#see(this.#batch, SEEN_AFTER_MS)
  }

  /** Looks at what a statement holds as long as it runs; who cannot look has not seen anything. */
  async #see(batch: Batch, after: number): Promise<void> {
    const { began } = batch
    await new Promise((resolve) => setTimeout(resolve, after))
    const isOver = (): boolean => this.#batch !== batch || batch.began !== began || !this.#isBusy
    if (isOver()) return
    const { rows } = await this.#watch.query<{ held: string }>(HELD_THERE, [this.#pid]).catch(() => ({ rows: [] }))
    if (isOver()) return
    batch.seen.push(...heldIn(rows[0]?.held))
    return this.#see(batch, Math.min(1_000, after * 1.5))
  }

  #fromServer(message: Message): void {
    if (this.#own) {
      this.#answer(this.#own, message)
      return
    }
    if (message.type === 'K') this.#pid = message.body.readInt32BE(0)
    if (message.type === 'E' && this.#batch) this.#batch.failed = true
    if (message.type === 'G') this.#isCopying = true
    if (message.type === 'C' || message.type === 'E') this.#isCopying = false
    if (message.type === 'C' && this.#batch) addRows(this.#batch, texts(message.body, 1)[0] ?? '')
    if (message.type === 'Z') this.#ready(message)
    else this.#toClient(withoutChannelBinding(message))
  }

  #ready(message: Message): void {
    const batch = this.#batch
    this.#status = statusOf(message)
    const isFirst = !this.#hasBegun
    this.#hasBegun = true
    this.#isBusy = true
    if (isFirst) {
      this.#ask(HELD_HERE, (_, wal) => {
        this.#profile.standsAt(wal ?? 0)
        this.#goOn(message)
      })
    } else if (batch && batch.sql.length > 0) this.#measure(batch, message)
    else this.#goOn(message)
  }

  /** What a statement did is asked before the client hears that it is done. */
  #measure(batch: Batch, message: Message): void {
    const ended = performance.now()
    const statements = splitStatements(batch.sql.join(';\n'))
    const sql = statements.map(({ words }) => words).join('; ')
    const isUnseen = this.#status === 'I' && batch.seen.length === 0 && !statements.some(isTransactionControl)
    const statement = {
      ...{ sql, began: batch.began, ended },
      ...(batch.rows === undefined ? {} : { rows: batch.rows }),
      ...(isUnseen ? { unseen: true as const } : {}),
    }
    const isSilent = batch.failed || statements.every(({ words }) => UNASKED.test(words))
    const add = (relations: readonly Held[], wal: number | undefined): void => {
      if (!isSilent) this.#profile.add(statement, relations, wal)
      if (this.#status === 'I') this.#profile.transactionEnded(ended)
      this.#goOn(message)
    }
    if (this.#status === 'E' || isSilent) add([], undefined)
    else
      this.#ask(this.#status === 'T' ? HELD_HERE : filesOf(batch.seen), (held, wal) =>
        add([...batch.seen, ...held], wal),
      )
  }

  /** On to the next statement of the same message, or to the client. */
  #goOn(ready: Message): void {
    const batch = this.#batch
    const more = batch && !batch.failed && this.#status === 'T' ? batch.rest.shift() : undefined
    if (batch && more !== undefined) this.#next(batch, more, simpleQuery(more))
    else {
      this.#batch = undefined
      this.#isBusy = false
      this.#toClient(ready)
      this.#pump()
    }
  }

  /** Puts our own question to the session, between two statements of the client's. */
  #ask(sql: string, answered: (relations: Held[], wal: number | undefined) => void): void {
    this.#own = {
      row: undefined,
      answered: ([relations, wal]) => answered(heldIn(relations), wal == null ? undefined : Number(wal)),
    }
    for (const message of ownQuery(OWN, sql)) this.#toServer(message)
  }

  #answer(question: Question, message: Message): void {
    if (message.type === 'D') question.row = columnsOf(message)
    else if (ASIDE.has(message.type)) this.#toClient(message)
    // A cancel that was meant for the client's statement: its transaction is lost without its knowing.
    else if (message.type === 'E') this.#hangUp()
    else if (message.type === 'Z') {
      this.#own = undefined
      question.answered(question.row ?? [])
    }
  }

  #toServer(message: Message): void {
    if (this.#server?.writable) send(this.#server, message)
  }

  #toClient(message: Message): void {
    if (this.#client.writable) send(this.#client, message)
  }
}

/** What fails at the server in a statement's place, so that the tool hears of it as of any error. SQLSTATE feature_not_supported. */
const raising = (why: string): string =>
  `do $headgate$ begin raise exception using errcode = '0A000', message = '${why.replaceAll("'", "''")}'; end $headgate$`

const newBatch = (): Batch => ({
  ...{ sql: [], began: performance.now(), rest: [], failed: false, rows: undefined, seen: [] },
})

/** Each statement where it stood in the whole, so that the server's position in an error stays right; of a long text as it is. */
function inPlace(whole: string, statements: readonly string[]): string[] {
  if (whole.length * statements.length > LONGEST_PADDED) return [...statements]
  let at = 0
  return statements.map((statement) => {
    at = whole.indexOf(statement, at)
    const placed = ' '.repeat([...whole.slice(0, at)].length) + statement
    at += statement.length
    return placed
  })
}

const LONGEST_PADDED = 16_000_000

function statusOf({ body }: Message): Status {
  const letter = body.toString('latin1', 0, 1)
  return letter === 'T' || letter === 'E' ? letter : 'I'
}

/** `UPDATE 100`, `INSERT 0 5`: what a statement wrote. */
function addRows(batch: Batch, tag: string): void {
  const written = /^(?:INSERT \d+|UPDATE|DELETE|MERGE|COPY) (\d+)$/.exec(tag)?.[1]
  if (written !== undefined) batch.rows = (batch.rows ?? 0) + Number(written)
}

function heldIn(json: string | null | undefined): Held[] {
  return json == null ? [] : JSON.parse(json)
}

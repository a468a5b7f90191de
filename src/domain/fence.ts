import { z } from 'zod'
import type { ServiceChange } from './service-call.js'

/** One session of ours, and which database it is on: a server of the same address may be another one. */
export const OwnSession = z.strictObject({
  pid: z.number(),
  /** `backend_start` as ISO 8601 in UTC, to the microsecond. */
  startedAt: z.string(),
  systemIdentifier: z.string(),
  /** Of the database. */
  oid: z.string(),
  /** On a server that follows another one: its sessions are not counted there. */
  isStandby: z.boolean(),
})
export type OwnSession = z.infer<typeof OwnSession>

/** A container that a tool runs in, by what ends it: how its engine is called, which one that is, and its name. */
export interface RecordedContainer {
  engine: readonly string[]
  engineId: string
  name: string
}

/**
 * Proof that its holder may change a resource now. Every method of a port that changes anything takes one, and only
 * a fenced step has one: that is how the types make it impossible to write an effect without fencing it first.
 * The private field makes the class nominal: an object of the same shape is not a fence.
 */
export abstract class Fence {
  readonly #nominal = true

  /** Raised for each attempt at the resource; an attempt with a smaller one must not act any more. */
  abstract readonly epoch: number
  /** `application_name` of every session of this attempt: `hg:<8 hex>:<epoch>:<step>`, at most 63 bytes. */
  abstract readonly applicationName: string
  /** Aborts when the attempt was cancelled, its worker shuts down, or the fence was lost. A tool is ended by it at once. */
  abstract readonly signal: AbortSignal
  /**
   * One round trip on the guard connection. Call it immediately before each effect, with the session that will carry
   * the effect already open: a later attempt ends that session, so nothing can slip in between.
   * Throws `FenceLost` when another attempt has taken over.
   */
  abstract check(): Promise<void>
  /** Journals a process group before it does anything, so that a later attempt can end it. */
  abstract recordProcess(pid: number, startTime: string): Promise<void>
  /** As `recordProcess`, for a container: it outlives the client that started it. */
  abstract recordContainer(container: RecordedContainer): Promise<void>
  /** Once it is known to be gone. */
  abstract forgetContainer(container: RecordedContainer): Promise<void>
  /** Journals what the worker beside a service on another host is to do to it; returns the id by which that one finds it. */
  abstract recordServiceChange(service: string, change: ServiceChange): Promise<string>
  /**
   * Accounts for a session of ours on the database. Behind a closed gate every session counts: one that nobody accounts
   * for makes the gate count as open, and no restore is automatic any more. One on another database is nobody's business.
   */
  async recordSession(_session: OwnSession): Promise<void> {}
  /** Tells Temporal and the terminal how far the step is, in words. Never throws. */
  abstract progress(text: string): void

  isFence(): boolean {
    return this.#nominal
  }
}

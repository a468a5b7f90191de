/** Something a person should know. `sequence` and `run` together are its identity: it may arrive twice. */
export interface Notice {
  run: string
  /** Grows from notice to notice of a run. */
  sequence: number
  project: string
  environment: string
  kind: 'started' | 'waiting' | 'succeeded' | 'deferred' | 'recovered' | 'failed' | 'needs-operator' | 'held' | 'stuck'
  text: string
  /** The one command to type next, if any. */
  next?: string
  /** It was sent before, and may have arrived. */
  repeat?: true
}

/** What a kind gets beside its own configuration. */
export interface NotifierContext {
  /** Where programs run: the folder of headgate.yaml. */
  directory: string
  /** Known secret values, redacted wherever something is shown. */
  secrets: readonly string[]
}

/** Tells people. Never blocks or fails a run: a caller gives it 5 s and three tries. */
export interface Notifier {
  send(notice: Notice, signal: AbortSignal): Promise<void>
  /** Who would be told, in words, as far as can be found out without telling anything. Throws where nobody could be. */
  reach(signal: AbortSignal): Promise<string>
}

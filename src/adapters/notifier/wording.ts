import type { Notice } from './port.js'

const HAPPENED: Record<Notice['kind'], string> = {
  started: 'has begun',
  waiting: 'waits for an approval',
  held: 'is held',
  stuck: 'is stuck',
  succeeded: 'succeeded',
  deferred: 'is done in part',
  recovered: 'was recovered, as was asked',
  failed: 'failed',
  'needs-operator': 'needs an operator',
}

/** One line for a person: what happened to which run. */
export const titleOf = ({ project, environment, run, kind, repeat }: Notice): string =>
  `${project} ${environment}: ${run} ${HAPPENED[kind]}${repeat ? ' (told before, perhaps)' : ''}`

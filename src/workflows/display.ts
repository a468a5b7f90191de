import { defineSearchAttributeKey, SearchAttributeType } from '@temporalio/common'
import { setCurrentDetails, upsertSearchAttributes } from '@temporalio/workflow'
import { moment } from '../domain/amounts.js'
import type { Ending, RunState, StepLine } from '../domain/run.js'

const KEYS = {
  environment: defineSearchAttributeKey('HeadgateEnvironment', SearchAttributeType.KEYWORD),
  run: defineSearchAttributeKey('HeadgateRun', SearchAttributeType.KEYWORD),
  step: defineSearchAttributeKey('HeadgateStep', SearchAttributeType.KEYWORD),
  outcome: defineSearchAttributeKey('HeadgateOutcome', SearchAttributeType.KEYWORD),
  tag: defineSearchAttributeKey('HeadgateTag', SearchAttributeType.KEYWORD),
  waiting: defineSearchAttributeKey('HeadgateWaiting', SearchAttributeType.KEYWORD),
}

/** Shows the run in the Temporal UI: search attributes where the server knows them, and the current details. */
export class Display {
  #shown = ''

  show(state: RunState, searchAttributes: boolean): void {
    setCurrentDetails(details(state))
    if (!searchAttributes) return
    const attributes = [
      { key: KEYS.environment, value: state.environment },
      { key: KEYS.run, value: state.run },
      { key: KEYS.step, value: state.ending ? 'ended' : state.step },
      { key: KEYS.outcome, value: state.ending?.outcome ?? null },
      { key: KEYS.tag, value: state.tag ?? null },
      { key: KEYS.waiting, value: state.waiting === undefined ? null : state.state === 'held' ? 'held' : 'approval' },
    ]
    // Each upsert is an event of the history.
    const shown = JSON.stringify(attributes.map(({ value }) => value))
    if (shown === this.#shown) return
    this.#shown = shown
    upsertSearchAttributes(attributes)
  }
}

/** Call to action first: the panel clips its last lines, and `3/4` would be set as a fraction. */
function details(state: RunState): string {
  const until = state.deadline === undefined ? '' : ` until ${moment(state.deadline)}`
  const head = state.ending
    ? ended(state.ending)
    : state.waiting === undefined
      ? [`**${state.step}**`]
      : [
          `**waiting${until}**`,
          '',
          `\`${state.waiting}\``,
          '',
          `In this page: Send an Update *approve* with \`{"by":"you","digest":"${state.digest.slice(0, 12)}"}\``,
        ]
  const table = ['| | step | stage | took | note |', '|-|-|-|-|-|', ...state.lines.map(row)]
  const what = `${state.run} · database ${escaped(state.database)}${state.tag === undefined ? '' : ` · tag ${state.tag}`}`
  return [...head, '', what, '', ...table, '', '\u00a0'].join('\n')
}

function ended({ outcome, reason, code, hint, next }: Ending): string[] {
  const what = `**${outcome}**${code === undefined ? '' : ` (${code})`}: ${escaped(reason)}`
  return [what, '', ...(hint === undefined ? [] : [`Do: ${escaped(hint)}`, '']), `Next: \`${next}\``]
}

const MARKS: Record<StepLine['state'], string> = { running: '▶', done: '✓', failed: '✗', waiting: '○' }

function row(line: StepLine): string {
  const took = line.endedAt === undefined ? '' : `${((line.endedAt - line.startedAt) / 1000).toFixed(1)}\u00a0s`
  return `| ${MARKS[line.state]} | ${line.step.replaceAll('-', '\u2011')} | ${line.stage || ''} | ${took} | ${escaped(line.note ?? line.text)} |`
}

const escaped = (text: string): string => text.replace(/[\\`*_{}[\]<>|#]/g, '\\$&').replace(/\s+/g, ' ')

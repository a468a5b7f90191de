import type { CheckContext } from './port.js'

const valuesOf = ({ tag, run, expectedVersion }: CheckContext): Record<string, string | undefined> => ({
  '{tag}': tag,
  '{run}': run,
  '{version}': expectedVersion,
})

/** `{tag}`, `{run}` and `{version}`, which is the migrator's after the stage, in a text of the configuration. */
export const filled = (text: string, context: CheckContext): string =>
  Object.entries(valuesOf(context)).reduce((done, [name, value]) => done.replaceAll(name, value ?? name), text)

/** What stands in these texts for something that nobody knows here, in words; undefined where all is known. */
export function unknownIn(texts: readonly unknown[], context: CheckContext): string | undefined {
  const [name] = Object.entries(valuesOf(context)).find(
    ([name, value]) => value === undefined && texts.some((text) => typeof text === 'string' && text.includes(name)),
  ) ?? [undefined]
  return name === undefined ? undefined : `${name} is not known in this run`
}

import type { CheckContext } from './port.js'

/** `{tag}`, `{run}` and `{version}`, which is the migrator's that the stage brings, in a text of the configuration. */
export const filled = (text: string, { tag, run, expectedVersion }: CheckContext): string =>
  text
    .replaceAll('{tag}', tag ?? '')
    .replaceAll('{run}', run)
    .replaceAll('{version}', expectedVersion ?? '')

import { fileURLToPath } from 'node:url'
import { bundleWorkflowCode, DefaultLogger, Runtime, type WorkflowBundleWithSourceMap } from '@temporalio/worker'

// A refused replay is what a control wants; core would warn of each.
Runtime.install({
  logger: new DefaultLogger('ERROR', () => {}),
  telemetryOptions: { logging: { filter: 'OFF', forward: {} } },
})

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url))

/** The workflows of this tree, or those of another file; `interceptors` beside this one. Takes seconds: once per test file. */
export function bundleOf(
  from = '../../src/workflows/index.ts',
  interceptors: readonly string[] = [],
): Promise<WorkflowBundleWithSourceMap> {
  return bundleWorkflowCode({
    workflowsPath: here(from),
    workflowInterceptorModules: interceptors.map(here),
    logger: new DefaultLogger('ERROR'),
  })
}

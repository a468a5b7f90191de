import type { Reporter, TestCase, TestModule, Vitest } from 'vitest/node'

/**
 * Ends the run's output with `N passed, M failed`. A test that is skipped or left to do has proven nothing: it counts as
 * failed, unless the person asked for some tests by name. So does a file that cannot be loaded, and an error of no test's.
 * What passed only when it was tried again is named.
 */
export class ClosingLineReporter implements Reporter {
  #isFiltered = false

  onInit(vitest: Vitest): void {
    this.#isFiltered = vitest.config.testNamePattern !== undefined
  }

  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly unknown[]): void {
    const tests = modules.flatMap((module) => [...module.children.allTests()])
    const counted = tests.filter((test) => !(this.#isFiltered && isSkipped(test)))
    const passed = counted.filter((test) => test.ok() && !isSkipped(test)).length
    const flaky = tests.filter((test) => test.diagnostic()?.flaky)
    const broken = modules.filter((module) => module.errors().length > 0).length
    const failed = counted.length - passed + broken + unhandled.length

    // At the very end: other reporters have their say first.
    process.once('exit', () => {
      for (const test of counted.filter(isSkipped)) console.log(`not run: ${nameOf(test)}`)
      for (const test of flaky) console.log(`passed on its second try: ${nameOf(test)}`)
      console.log(`${passed} passed, ${failed} failed`)
      if (failed > 0 || passed === 0) process.exitCode ||= 1
    })
  }
}

const nameOf = (test: TestCase): string => `${test.module.moduleId} > ${test.fullName}`
const isSkipped = (test: TestCase): boolean => ['skipped', 'pending'].includes(test.result().state)

const only = (layer, ...below) => ({
  name: `${layer}-imports-only-below`,
  severity: 'error',
  from: { path: `^src/${layer}/` },
  to: { path: '^src/', pathNot: [layer, ...below].map((l) => `^src/${l}/`) },
})
const FOUNDATIONS = 'postgres|process|store|http'
module.exports = {
  forbidden: [
    only('domain'),
    only('adapters', 'domain'),
    only('activities', 'adapters', 'domain'),
    only('workflows', 'domain', 'activities'),
    only('client', 'workflows', 'domain'),
    only('worker', 'activities', 'adapters', 'workflows', 'domain', 'client'),
    only('cli', 'client', 'worker', 'domain', 'adapters/configuration', 'adapters/process', 'adapters/approval'),
    {
      name: 'ports-import-foundations-only',
      severity: 'error',
      from: { path: '^src/adapters/([^/]+)/' },
      to: { path: '^src/adapters/', pathNot: ['^src/adapters/$1/', `^src/adapters/(${FOUNDATIONS})/`] },
    },
    {
      name: 'domain-imports-zod-and-temporal-common-only',
      severity: 'error',
      from: { path: '^src/domain/' },
      to: { dependencyTypes: ['npm'], pathNot: ['node_modules/zod/', 'node_modules/@temporalio/common/'] },
    },
    {
      name: 'workflows-see-activities-as-types-only',
      severity: 'error',
      from: { path: '^src/workflows/' },
      to: { path: '^src/activities/', dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'workflows-are-deterministic',
      severity: 'error',
      from: { path: '^src/(workflows|domain)/' },
      to: { dependencyTypes: ['core'] },
    },
    {
      name: 'one-way-to-run-a-program',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/adapters/process/' },
      to: { path: 'node_modules/execa/' },
    },
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
  ],
  options: {
    tsPreCompilationDeps: 'specify',
    doNotFollow: { path: 'node_modules' },
    tsConfig: { fileName: 'tsconfig.json' },
    exclude: { path: '^dist' },
  },
}

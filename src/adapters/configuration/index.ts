export {
  describeEnvironment,
  environmentNames,
  projectName,
  type ResolveOptions,
  resolveEnvironment,
  resolveMigrator,
  serviceQueues,
} from './environment.js'
export { knownSecrets } from './secrets.js'
export { readSettings, type SettingOverrides, type Settings } from './settings.js'
export { type ConfigurationSource, parseConfiguration, readConfigurationFile } from './source.js'

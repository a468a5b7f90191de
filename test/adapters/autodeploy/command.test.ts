import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createAutodeploy } from '../../../src/adapters/autodeploy/index.js'
import { programFolder } from '../../support/program-folder.js'
import { autodeployContract, SECRET } from './contract.js'

const REFUSE = 'if [ -e refuses ]; then cat refuses >&2; exit 3; fi\n'

autodeployContract('command', async (options) => {
  const folder = programFolder()
  const hold = [folder.script('hold', `${REFUSE}touch held`)]
  const release = [folder.script('release', `${REFUSE}rm -f held`)]
  const state = `if [ -e held ]; then echo held; else echo on; fi`
  const said = `echo "{\\"state\\":\\"$(${state})\\",\\"running\\":$(cat running 2>/dev/null || echo 0)}"`
  const status = [folder.script('status', `${REFUSE}${said}`)]
  const write = (name: string, text: string): void => writeFileSync(join(folder.path, name), text)
  return {
    autodeploy: createAutodeploy(
      { kind: 'command', hold, release, status, ...options },
      { project: 'shop', environment: 'production', directory: folder.path, secrets: [SECRET] },
    ),
    isHeld: () => existsSync(join(folder.path, 'held')),
    underWay: (running) => write('running', String(running)),
    refuse: (text) => write('refuses', text),
    close: async () => folder.remove(),
  }
})

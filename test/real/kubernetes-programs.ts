import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import { installOnce } from '../../src/adapters/process/install-once.js'
import { runInstaller } from '../../src/adapters/process/installer.js'

const KUBERNETES = 'v1.34.1'
/** Of the libraries that Kubernetes has in its own repository. */
const STAGING = KUBERNETES.replace(/^v1/, 'v0')
const ETCD = 'v3.6.6'
const PROGRAMS = ['kube-apiserver', 'kube-controller-manager', 'kubectl']

/** The folder with a control plane's programs and kubectl, built with Go (10 minutes, once). */
export async function kubernetesIn(cache: string): Promise<string> {
  const etcd = await installOnce(join(cache, `etcd-${ETCD}`), async (into) => {
    const go = inModule(cache, into)
    await go('mod', 'init', 'etcd')
    await go('get', `go.etcd.io/etcd/server/v3@${ETCD}`)
    await go('build', '-o', 'etcd', 'go.etcd.io/etcd/server/v3')
  })
  const folder = await installOnce(join(cache, `kubernetes-${KUBERNETES}`), async (into) => {
    const go = inModule(cache, into)
    await go('mod', 'init', 'kubernetes')
    await replaceStaging(into)
    for (const program of PROGRAMS) await go('get', `k8s.io/kubernetes/cmd/${program}@${KUBERNETES}`)
    for (const program of PROGRAMS) await go('build', '-o', program, `k8s.io/kubernetes/cmd/${program}`)
    await runInstaller(cache, ['cp', join(etcd, 'etcd'), into])
  })
  return folder
}

const inModule =
  (cache: string, folder: string) =>
  (...words: string[]): Promise<void> =>
    runInstaller(cache, ['go', '-C', folder, ...words], { CGO_ENABLED: '0' })

/** Its module names those libraries by folders of its repository, which no other module can. */
async function replaceStaging(folder: string): Promise<void> {
  const { stdout } = await execa('go', ['-C', folder, 'mod', 'download', '-json', `k8s.io/kubernetes@${KUBERNETES}`])
  const { GoMod } = JSON.parse(stdout)
  const names = [...(await readFile(GoMod, 'utf8')).matchAll(/^\s*(k8s\.io\/\S+) => \.\/staging\//gm)].map(
    ([, name]) => name,
  )
  const file = join(folder, 'go.mod')
  const replaced = names.map((name) => `replace ${name} => ${name} ${STAGING}\n`).join('')
  await writeFile(file, `${await readFile(file, 'utf8')}\n${replaced}`)
}

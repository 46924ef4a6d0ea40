import { type SpawnSyncReturns, spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { cleanEnv } from '../helpers/child-gateway.ts'

const PLAYBOOKS = fileURLToPath(new URL('../../examples/semaphore/playbooks/', import.meta.url))

/** Which collections a playbook needs beyond Ansible itself, by a module of each. */
const COLLECTIONS: Readonly<Record<string, string | undefined>> = {
  compose: 'community.docker.docker_compose_v2',
  'wake-and-start': 'community.general.wakeonlan',
}

function run(program: string, ...args: string[]): SpawnSyncReturns<string> {
  return spawnSync(program, args, { cwd: PLAYBOOKS, encoding: 'utf8', env: cleanEnv({ ANSIBLE_NOCOLOR: '1' }) })
}

const isThere = run('ansible-playbook', '--version').status === 0
const skip = isThere ? false : 'not installed: ansible-playbook (Debian: apt install ansible-core)'

function moduleMissing(name: string | undefined): string | false {
  if (skip) return skip
  if (name === undefined || run('ansible-doc', '-t', 'module', '-s', name).stdout.includes(name.split('.').at(-1)!)) return false
  return `no module ${name} here (ansible-galaxy collection install -r examples/semaphore/playbooks/collections/requirements.yml)`
}

const playbook = (name: string, variables: Record<string, string>, ...more: string[]) =>
  run(
    'ansible-playbook',
    '-i',
    'inventory.yml',
    '-e',
    JSON.stringify({ hestia_host: 'nas1', ...variables }),
    ...more,
    `${name}.yml`,
  )

for (const name of ['systemd', 'compose', 'wake-and-start', 'stop-and-suspend'])
  t.test(`R31 playbook ${name}: Ansible reads it`, { skip: moduleMissing(COLLECTIONS[name]) }, (t) => {
    const { status, stdout, stderr } = playbook(name, {}, '--syntax-check')
    t.equal(status, 0, stderr)
    t.match(stdout, `playbook: ${name}.yml`)
    t.end()
  })

t.test('R19 playbooks touch nothing but what they list, whatever is asked of them', { skip }, (t) => {
  const here = { ansible_connection: 'local', ansible_become: 'false' }
  const refused = [
    { hestia_service: 'sshd', hestia_action: 'start' },
    { hestia_service: 'jellyfin', hestia_action: 'mask' },
  ]
  for (const asked of refused) {
    const { status, stdout } = playbook('systemd', { ...asked, ...here })
    t.equal(status, 2, stdout)
    t.match(stdout, /TASK \[Only what is listed\] \*+\n(?:.*\n)*fatal: \[nas1\]: FAILED! => .*Assertion failed/)
    t.match(stdout, /nas1 +: ok=0 +changed=0 .*failed=1/)
    t.notMatch(stdout, 'gpu-box', 'and no other host')
  }
  const nobody = run('ansible-playbook', '-i', 'inventory.yml', 'systemd.yml')
  t.not(nobody.status, 0)
  t.match(nobody.stdout + nobody.stderr, /'hestia_host' is undefined/, 'rather than the whole inventory')
  t.end()
})

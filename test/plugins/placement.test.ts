import fc from 'fast-check'
import t from 'tap'
import { meets, place, type Rule, type Site } from '../../plugins/load-balancer/placement.ts'
import { startGateway } from '../helpers/gateway.ts'
import { httpUpstream } from '../helpers/upstream.ts'

const site = (name: string, role: string, capabilities = {}, available = true): Site => ({
  machine: { name, role, capabilities },
  available,
})
const rule = (name: string, role: string, match: Partial<Rule['match']> = {}): Rule => ({
  name,
  match: { tags: [], requires: [], ...match },
  target_machine_role: role,
})

t.test('R21 place: requirements, then availability, then the first rule that matches', async (t) => {
  const laptop = site('laptop', 'local', { gpu: false })
  const box = site('box', 'remote', { gpu: true, vram_gb: 24 })
  const node = site('node', 'hpc', { gpu: true, vram_gb: 80 })
  const all = [laptop, box, node]
  const names = (sites: readonly Site[]) => sites.map(({ machine }) => machine?.name)
  const none = { tags: [], requires: {} }
  t.same(names(place(all, none, []).sites), ['laptop', 'box', 'node'])
  t.match(place(all, none, [rule('home', 'local')]), { sites: [laptop], rule: 'home', reason: /home prefers local/ })
  t.same(names(place(all, { tags: [], requires: { gpu: true } }, []).sites), ['box', 'node'])
  t.same(names(place(all, { tags: [], requires: { vram_gb: 40 } }, []).sites), ['node'])
  t.match(place(all, { tags: [], requires: { gpu: true } }, [rule('home', 'local')]), { sites: [box, node], rule: null })
  const llm = { tags: ['llm', 'big'], requires: { gpu: true } }
  const rules = [
    rule('never', 'local', { tags: ['other'] }),
    rule('big', 'hpc', { tags: ['big'], requires: ['gpu'] }),
    rule('llm', 'remote'),
  ]
  t.match(place(all, llm, rules), { sites: [node], rule: 'big' })
  t.match(
    place([laptop, box, { ...node, available: false }], llm, rules),
    { sites: [box], rule: 'llm' },
    'what is away is skipped',
  )
  t.match(place([{ ...box, available: false }], llm, []), { sites: [{ machine: box.machine }] }, 'better away than nowhere')
  t.match(place([laptop], llm, rules), { sites: [], reason: /no machine has gpu/ })
})

t.test('R21 place never leaves a service without a site, but for requirements', async (t) => {
  const role = fc.constantFrom('local', 'remote', 'hpc')
  const sites = fc.array(
    fc
      .record({ role, gpu: fc.boolean(), available: fc.boolean() })
      .map(({ role, gpu, available }) => site('m', role, { gpu }, available)),
    { minLength: 1 },
  )
  const rules = fc.array(role.map((target) => rule('r', target)))
  fc.assert(
    fc.property(sites, rules, fc.boolean(), (sites, rules, gpu) => {
      const requires: Record<string, boolean> = gpu ? { gpu: true } : {}
      const { sites: left } = place(sites, { tags: [], requires }, rules)
      const able = sites.filter(({ machine }) => meets(machine!.capabilities, requires))
      return left.length > 0 === able.length > 0 && left.every((one) => able.includes(one))
    }),
  )
  t.pass('held')
})

t.test('R21 a service runs where its rule says, elsewhere when that machine is away, and the status tells why', async (t) => {
  const near = await httpUpstream(t, (_request, response) => response.end('near'))
  const far = await httpUpstream(t, (_request, response) => response.end('far'))
  const { url } = await startGateway(t, {
    config: `
machines:
  laptop: { role: local, address: 127.0.0.1, capabilities: { gpu: true } }
  box: { role: remote, address: 127.0.0.1, capabilities: { gpu: true } }
routing_rules:
  - { name: at-home, priority: 1, target_machine_role: local }
  - { name: gpu-work, priority: 10, match: { tags: [llm], requires: [gpu] }, target_machine_role: remote }
services:
  s:
    tags: [llm]
    requires: { gpu: true }
    health: { tcp: true }
    start: { timeout_ms: 300 }
    instances:
      - { name: near, url: "${near.url}", machine: laptop }
      - { name: far, url: "${far.url}", machine: box }
`,
  })
  const ask = async () => (await fetch(`${url}/services/s/`)).text()
  const placement = async () => ((await (await fetch(`${url}/v1/services/s/status`)).json()) as { placement: unknown }).placement
  t.same([await ask(), await ask()], ['far', 'far'])
  t.match(await placement(), { machine: 'box', rule: 'gpu-work', reason: /gpu-work prefers remote machines with gpu/ })
  await far.close()
  t.equal(await ask(), 'near')
  t.match(await placement(), { machine: 'laptop' })
})

t.test('R21 requirements that no machine meets, and two rules of one priority, are refused', async (t) => {
  const config = `
machines: { laptop: { role: local, address: 127.0.0.1 } }
routing_rules:
  - { name: a, priority: 1, target_machine_role: local }
  - { name: b, priority: 1, target_machine_role: hpc }
services:
  s: { base_url: "http://127.0.0.1:9", machine: laptop, warmup_ms: 0, requires: { gpu: true } }
`
  await t.rejects(startGateway(t, { config }), { message: /routing_rules\.1\.priority: the rule "a" has this priority already/ })
  await t.rejects(startGateway(t, { config: config.replace('b, priority: 1', 'b, priority: 2') }), {
    message: /services\.s\.requires: no instance runs on a machine/,
  })
})

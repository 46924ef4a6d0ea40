import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { testModelClients } from '../helpers/model-clients.ts'
import { plainNode } from '../helpers/plain-node.ts'
import { skip } from './installed.ts'
import { writeTinyModel } from './make-tiny-gguf.ts'

t.test('official clients and llama.cpp', { skip }, async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'hestia-e2e-llm-'))
  t.teardown(() => rm(dir, { recursive: true, force: true }))
  const file = join(dir, 'tiny.gguf')
  await writeTinyModel(file)
  testModelClients(t, {
    command: plainNode(join(import.meta.dirname, 'servers/llm-server.mjs')),
    env: { MODEL: file },
    model: 'tiny',
    dimensions: 64,
  })
})

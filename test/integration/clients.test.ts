import { resolve } from 'node:path'
import t from 'tap'
import { testFailedStart, testModelClients } from '../helpers/model-clients.ts'
import { plainNode } from '../helpers/plain-node.ts'

testModelClients(t, {
  command: plainNode(resolve(import.meta.dirname, '../fixtures/word-server.mjs')),
  env: { BOOT_MS: 300 },
  model: 'words',
  dimensions: 8,
})
testFailedStart(t)

/**
 * A real model server, to be put behind Hestia: llama.cpp by node-llama-cpp, with the routes of OpenAI and of Ollama.
 *
 *   MODEL        a .gguf file
 *   HOST, PORT   where to listen (Hestia sets both)
 */
import { statSync } from 'node:fs'
import { basename } from 'node:path'
import { getLlama, LlamaChatSession, LlamaLogLevel } from 'node-llama-cpp'
import { serve } from '../../fixtures/model-api.mjs'

const file = process.env.MODEL
const llama = await getLlama({ gpu: false, build: 'never', logLevel: LlamaLogLevel.error })
const model = await llama.loadModel({ modelPath: file })
// One thread: more of them spin while they wait for one another, which a busy machine turns into seconds for a word.
const embeddings = await model.createEmbeddingContext({ threads: 1 })

serve({
  model: basename(file, '.gguf'),
  bytes: statSync(file).size,
  async chat({ messages, maxTokens, temperature = 0.8, signal }, onText) {
    const context = await model.createContext({ threads: 1, contextSize: Math.min(model.trainContextSize, 4096) })
    try {
      const sequence = context.getSequence()
      const session = new LlamaChatSession({ contextSequence: sequence, systemPrompt: '' })
      session.setChatHistory(messages.slice(0, -1).map(historyItem))
      const { stopReason } = await session.promptWithMeta(messages.at(-1).content, {
        maxTokens,
        temperature,
        signal,
        onTextChunk: onText,
      })
      const { usedInputTokens, usedOutputTokens } = sequence.tokenMeter
      return {
        promptTokens: usedInputTokens,
        completionTokens: usedOutputTokens,
        reason: stopReason === 'maxTokens' ? 'length' : 'stop',
      }
    } finally {
      await context.dispose()
    }
  },
  embed: async (text) => (await embeddings.getEmbeddingFor(text)).vector,
})

const historyItem = ({ role, content }) =>
  role === 'assistant' ? { type: 'model', response: [content] } : { type: role, text: content }

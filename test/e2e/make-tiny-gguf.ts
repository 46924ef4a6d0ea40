/**
 * Writes a language model that llama.cpp takes for a real one: the architecture of Llama, two layers of 64 numbers, random
 * weights, about half a megabyte. It talks nonsense, in letters, and as fast as nothing else.
 *
 * The format is GGUF 3 (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md): magic, version, counts; metadata as
 * key, type, value; for each tensor its name, shape, type and place; then, aligned, the tensors. Everything little-endian.
 */
import { writeFile } from 'node:fs/promises'

/** `general.alignment`, where it is not given. */
const ALIGNMENT = 32

/** The types of metadata that are used here, with their numbers in the format. */
const UINT32 = 4
const INT32 = 5
const FLOAT32 = 6
const STRING = 8
const ARRAY = 9

/** What a token is, by the numbers of `tokenizer.ggml.token_type`. */
const NORMAL = 1
const UNKNOWN = 2
const CONTROL = 3
const BYTE = 6

const WIDTH = 64
const HEADS = 4
const FEED_FORWARD = 128
const LAYERS = 2
const CONTEXT = 4096

/** SentencePiece writes a space as this character. */
const SPACE = '\u2581'
const letters = Array.from(`${SPACE}abcdefghijklmnopqrstuvwxyz`)
const vocabulary = [
  { text: '<unk>', type: UNKNOWN },
  { text: '<s>', type: CONTROL },
  { text: '</s>', type: CONTROL },
  // One for each byte, so that there is no text that cannot be put into tokens.
  ...Array.from({ length: 256 }, (_, byte) => ({ text: `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`, type: BYTE })),
  ...letters.map((text) => ({ text, type: NORMAL })),
]

function bytes(length: number, write: (buffer: Buffer) => void): Buffer {
  const buffer = Buffer.alloc(length)
  write(buffer)
  return buffer
}
const uint32 = (value: number) => bytes(4, (buffer) => buffer.writeUInt32LE(value))
const int32 = (value: number) => bytes(4, (buffer) => buffer.writeInt32LE(value))
const uint64 = (value: number) => bytes(8, (buffer) => buffer.writeBigUInt64LE(BigInt(value)))
const float32 = (value: number) => bytes(4, (buffer) => buffer.writeFloatLE(value))
const string = (value: string) => Buffer.concat([uint64(Buffer.byteLength(value)), Buffer.from(value)])

/** A value of the metadata, after its type. */
const count = (value: number) => Buffer.concat([uint32(UINT32), uint32(value)])
const real = (value: number) => Buffer.concat([uint32(FLOAT32), float32(value)])
const text = (value: string) => Buffer.concat([uint32(STRING), string(value)])
const list = (type: number, values: readonly Buffer[]) =>
  Buffer.concat([uint32(ARRAY), uint32(type), uint64(values.length), ...values])

const aligned = (size: number) => Math.ceil(size / ALIGNMENT) * ALIGNMENT
const padded = (buffer: Buffer) => Buffer.concat([buffer, Buffer.alloc(aligned(buffer.length) - buffer.length)])

const metadata = {
  'general.architecture': text('llama'),
  'general.name': text('tiny-random'),
  'llama.vocab_size': count(vocabulary.length),
  'llama.context_length': count(CONTEXT),
  'llama.embedding_length': count(WIDTH),
  'llama.block_count': count(LAYERS),
  'llama.feed_forward_length': count(FEED_FORWARD),
  'llama.attention.head_count': count(HEADS),
  'llama.attention.head_count_kv': count(HEADS),
  'llama.attention.layer_norm_rms_epsilon': real(1e-5),
  'llama.rope.dimension_count': count(WIDTH / HEADS),
  'tokenizer.ggml.model': text('llama'),
  'tokenizer.ggml.tokens': list(
    STRING,
    vocabulary.map((token) => string(token.text)),
  ),
  'tokenizer.ggml.scores': list(
    FLOAT32,
    vocabulary.map((_, index) => float32(-index)),
  ),
  'tokenizer.ggml.token_type': list(
    INT32,
    vocabulary.map(({ type }) => int32(type)),
  ),
  'tokenizer.ggml.unknown_token_id': count(0),
  'tokenizer.ggml.bos_token_id': count(1),
  'tokenizer.ggml.eos_token_id': count(2),
}

interface Tensor {
  readonly name: string
  readonly shape: readonly number[]
  readonly data: Buffer
}

/** Numbers around 0, the same at each run (xorshift32). */
function randomNumbers(seed = 2_463_534_242): () => number {
  let state = seed
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return state / 2 ** 31 / 10
  }
}

/** The tensors that llama.cpp looks for in this architecture: name, shape (the quickest dimension first), content. */
function tensors(): Tensor[] {
  const random = randomNumbers()
  const weights = (name: string, ...shape: number[]) => tensor(name, shape, random)
  const norm = (name: string) => tensor(name, [WIDTH], () => 1)
  // Rows of letters stand out twentyfold: it hardly ever ends by itself, and never breaks a character in two.
  const speech = (index: number) => random() * (vocabulary[Math.floor(index / WIDTH)]?.type === NORMAL ? 20 : 1)
  const layer = (name: string) => [
    norm(`${name}.attn_norm.weight`),
    ...['q', 'k', 'v', 'output'].map((part) => weights(`${name}.attn_${part}.weight`, WIDTH, WIDTH)),
    norm(`${name}.ffn_norm.weight`),
    weights(`${name}.ffn_gate.weight`, WIDTH, FEED_FORWARD),
    weights(`${name}.ffn_up.weight`, WIDTH, FEED_FORWARD),
    weights(`${name}.ffn_down.weight`, FEED_FORWARD, WIDTH),
  ]
  return [
    weights('token_embd.weight', WIDTH, vocabulary.length),
    ...Array.from({ length: LAYERS }, (_, index) => layer(`blk.${index}`)).flat(),
    norm('output_norm.weight'),
    tensor('output.weight', [WIDTH, vocabulary.length], speech),
  ]
}

function tensor(name: string, shape: readonly number[], value: (index: number) => number): Tensor {
  const size = shape.reduce((product, dimension) => product * dimension, 1)
  return {
    name,
    shape,
    data: bytes(size * 4, (buffer) => {
      for (let index = 0; index < size; index++) buffer.writeFloatLE(value(index), index * 4)
    }),
  }
}

/** What is told of each tensor; offsets count from the first. Type 0 is a 32-bit float. */
function directory(all: readonly Tensor[]): Buffer[] {
  let offset = 0
  return all.map(({ name, shape, data }) => {
    const here = offset
    offset += aligned(data.length)
    return Buffer.concat([string(name), uint32(shape.length), ...shape.map(uint64), uint32(0), uint64(here)])
  })
}

/** Writes the model to the file `path`. */
export async function writeTinyModel(path: string): Promise<void> {
  const all = tensors()
  const head = Buffer.concat([
    Buffer.from('GGUF'),
    uint32(3),
    uint64(all.length),
    uint64(Object.keys(metadata).length),
    ...Object.entries(metadata).flatMap(([key, value]) => [string(key), value]),
    ...directory(all),
  ])
  await writeFile(path, Buffer.concat([padded(head), ...all.map(({ data }) => padded(data))]))
}

import { defineStrategy, type InstanceName, Type } from 'hestia'

const bare = (url: string): string => (url.endsWith('/') ? url.slice(0, -1) : url)

const named = (instance: InstanceName, wanted: string): boolean => instance.name === wanted || bare(instance.url) === bare(wanted)

/** Picks the instance that a field of the body (JSON or a form) stands for: `{"model": "llama3"}` goes where `by_model.llama3` says. */
export default defineStrategy({
  name: 'model_router',
  routing: Type.Object(
    {
      model_key: Type.String({ minLength: 1, default: 'model', description: 'The field of the body that decides.' }),
      by_model: Type.Record(Type.String(), Type.String(), {
        default: {},
        description: 'URL or name of the instance for each value of the field.',
      }),
    },
    { additionalProperties: false, default: {} },
  ),
  reads: ['body'],

  check: ({ instances, routing }) =>
    Object.entries(routing.by_model)
      .filter(([, wanted]) => !instances.some((instance) => named(instance, wanted)))
      .map(([model, wanted]) => `by_model.${model} names "${wanted}", which is none of the instances of this service`),

  select(request, { instances, routing: { model_key, by_model } }) {
    const model = request.field(model_key)
    if (model === undefined || !Object.hasOwn(by_model, model)) return undefined
    const instance = instances.find((candidate) => named(candidate, by_model[model]!))
    return instance && { instance, reason: 'mapping' }
  },
})

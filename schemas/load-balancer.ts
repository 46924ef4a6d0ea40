import { type Static, Type } from '@sinclair/typebox'

/** `plugins.load-balancer`, and the section `services.<id>.load-balancer`. */
export const LoadBalancerOptions = Type.Object(
  {
    region: Type.Optional(
      Type.String({ minLength: 1, description: 'Instances of this region are taken as long as one of them is usable.' }),
    ),
    prefer_ready: Type.Boolean({
      default: true,
      description:
        'While some instances run, requests go to those; others are started only when none is left. With `false` each instance has its share, whether it runs or not.',
    }),
  },
  { additionalProperties: false, default: {} },
)
export type LoadBalancerOptions = Static<typeof LoadBalancerOptions>

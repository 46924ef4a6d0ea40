import { defineStrategy } from 'hestia'

/** Has no opinion, so that the plugin `load-balancer` decides; for services that want to say so. */
export default defineStrategy({ name: 'load_balancer', select: () => undefined })

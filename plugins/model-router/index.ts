import { definePlugin } from 'hestia'

export default definePlugin({ name: 'model-router', setup() {} })

import { render } from 'preact'
import { App } from './app.tsx'
import { follow } from './live.ts'
import { boot } from './session.ts'

void boot()
follow()
render(<App />, document.getElementById('app')!)

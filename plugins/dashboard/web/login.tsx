import { useSignal } from '@preact/signals'
import { Flame } from './icons.tsx'
import { logIn } from './session.ts'

/** Stands in place of everything until somebody has logged in. */
export const Login = () => {
  const error = useSignal('')
  const busy = useSignal(false)
  const submit = async (event: Event) => {
    event.preventDefault()
    if (busy.value) return
    const form = new FormData(event.currentTarget as HTMLFormElement)
    busy.value = true
    error.value = ''
    try {
      await logIn(form.get('name') as string, form.get('password') as string)
    } catch (thrown) {
      error.value = (thrown as Error).message
    }
    busy.value = false
  }
  return (
    <main class="login">
      <form class="card padded" onSubmit={(event) => void submit(event)} aria-labelledby="login-title">
        <Flame size={40} />
        <h1 id="login-title">Hestia</h1>
        <label class="field">
          <span>Name</span>
          <input name="name" autocomplete="username" required autofocus />
        </label>
        <label class="field">
          <span>Password</span>
          <input name="password" type="password" autocomplete="current-password" required />
        </label>
        <p class="form-error" role="alert">
          {error}
        </p>
        <button type="submit" class="primary" aria-disabled={busy.value}>
          Log in
        </button>
      </form>
    </main>
  )
}

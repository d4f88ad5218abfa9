import { ApiError, showPasskey, untyped, type RequestOptions, type Session } from '@/api';
import { t } from '@/text';

/** The way of a passkey: the controller's challenge, the browser's dialog, and back. */
export async function loginByPasskey(given?: { name: string; password: string }): Promise<Session> {
  const started = await untyped<{ flow: string; options: RequestOptions }>('post', '/api/v1/login/passkey/begin', { body: given ?? {} });
  let credential: unknown;
  try {
    credential = await showPasskey(started.options);
  } catch {
    throw new ApiError(400, 'PASSKEY', t('login.passkeyFailed'));
  }
  return untyped<Session>('post', '/api/v1/login/passkey/finish', { body: { flow: started.flow, credential } });
}

import { ApiError, call, showPasskey, type View } from '@/api';
import { t } from '@/text';

/** The way of a passkey: the controller's challenge, the browser's dialog, and back. */
export async function loginByPasskey(): Promise<View<'LoggedInView'>> {
  const { ceremony, options } = await call('post', '/api/v1/login/passkey/begin');
  let response: unknown;
  try {
    response = await showPasskey(options);
  } catch {
    throw new ApiError(400, 'PASSKEY', t('login.passkeyFailed'));
  }
  return call('post', '/api/v1/login/passkey/finish', { body: { ceremony, response } });
}

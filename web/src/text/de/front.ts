// What the pages say that stand in front: the login, the frame and the list of
// instances. All others have the whole catalogue; see text/index.ts.
import { common } from './common';
import { error } from './error';
import { instance } from './instance';
import { login } from './login';
import { nav } from './nav';
import { state } from './state';

export const front = { common, error, instance, login, nav, state };

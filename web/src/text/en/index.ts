// English: the language that names the keys. One file for each namespace.
import { account } from './account';
import { common } from './common';
import { error } from './error';
import { login } from './login';
import { nav } from './nav';
import { state } from './state';

export const en = { account, common, error, login, nav, state };
export type English = typeof en;

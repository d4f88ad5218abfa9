// Deutsch.
import type { Translation } from '../catalogue';
import type { English } from '../en';
import { account } from './account';
import { common } from './common';
import { error } from './error';
import { login } from './login';
import { nav } from './nav';
import { state } from './state';

export const de: Translation<English> = { account, common, error, login, nav, state };

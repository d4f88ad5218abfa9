import './app/sheets';
import './ui/mantine.css';
import './ui/tokens.css';
import { createRoot } from 'react-dom/client';
import { App, prepare } from './app/App';
import { ahead } from './app/pages';
import { preferred, speak } from './text';

const root = document.getElementById('root');
if (root) {
  ahead(location.pathname);
  prepare();
  void speak(preferred()).then(() => createRoot(root).render(<App />));
}

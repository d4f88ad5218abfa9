import './app/sheets';
import './ui/mantine.css';
import './ui/tokens.css';
import { createRoot } from 'react-dom/client';
import { App } from './app/App';
import { preferred, speak } from './text';

const root = document.getElementById('root');
if (root) {
  void speak(preferred()).then(() => createRoot(root).render(<App />));
}

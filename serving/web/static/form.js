// A form that was refused begins at what is wrong with it.
"use strict";
document.getElementById("error-summary")?.focus();

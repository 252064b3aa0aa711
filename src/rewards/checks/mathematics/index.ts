export { isRight, referenceAnswer, responseAnswers } from "./answer.ts";
